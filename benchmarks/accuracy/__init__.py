"""Does it help? Accuracy with each kind of augmentation."""
