"""
Too strong or not?
==================

Before a night of training: is a policy too strong? ``evaluate`` asks the classifier, and changes nothing.
"""

# %%
# One policy fitted as it comes, and one fitted to a cross entropy that is far too high. The limits are wide for both:
# any rotation, and a factor of 2. Only the classifier holds the first one back.
from fashion import batches, images, trained_classifier
from saving import save

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment, plots

classifier = trained_classifier()
train, held_out = images("train", 0, 1000), images("train", 1000, 1400)
common = {"val_loader": batches(*held_out, shuffle=False), "padding_mode": "zeros", "limits": AffineLimits.wide()}
policies = {
    "as fitted": LearnedAffineAugment.fit(classifier, batches(*train), **common),
    "too strong": LearnedAffineAugment.fit(classifier, batches(*train), config=FitConfig(target=1.8), **common),
}

# %%
# Side by side, by the same noise.
figure = plots.plot_policies(policies, train[0][:6], draws=2)
save(figure, "plot_04_compare_two_policies")

# %%
# In numbers, on test images. ``agreement`` is the share of images whose predicted class does not change. A policy
# that loses much of it changes what the label says.
found = {name: policy.evaluate(classifier, batches(*images("test", 0, 500))) for name, policy in policies.items()}
print(f"{'':<16}" + "".join(f"{name:>12}" for name in found))
for key in ("displacement", "visible_area", "agreement", "accuracy", "clean_accuracy"):
    print(f"{key:<16}" + "".join(f"{row[key]:12.3f}" for row in found.values()))
