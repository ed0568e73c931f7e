"""What a policy is to minimise, and the target that holds the balance."""
