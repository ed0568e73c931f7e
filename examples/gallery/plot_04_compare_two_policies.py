"""
Compare two policies
====================

Before a night of training: which of two policies is too weak, which too strong? ``evaluate`` asks the classifier, and
changes nothing.
"""

# %%
# One policy fitted as it comes, and one held to a cross entropy that is far too high.
import copy

from fashion import batches, images, trained_classifier

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment, plots

classifier = trained_classifier()
train, held_out = images("train", 0, 1000), images("train", 1000, 1400)
common = {"val_loader": batches(*held_out, shuffle=False), "padding_mode": "zeros", "limits": AffineLimits.wide()}
right = LearnedAffineAugment.fit(classifier, batches(*train), config=FitConfig(steps=150), **common)
strong = LearnedAffineAugment.fit(classifier, batches(*train), config=FitConfig(steps=150, target=1.8), **common)

# %%
# Side by side, by the same noise. The limits are wide for both (any rotation, factor 2): what holds the first one back
# is the classifier.
figure = plots.plot_policies({"as fitted": right, "too strong": strong}, train[0][:6], draws=2)

# %%
# In numbers, on test images, which neither the classifier nor the fits were given. ``agreement`` is the share of images
# whose predicted class the warp does not change; a policy that loses it changes what the label says.
found = {name: policy.evaluate(classifier, batches(*images("test", 0, 500))) for name, policy in
         {"as fitted": right, "too strong": strong}.items()}  # fmt: skip
print(f"{'':<16}{'as fitted':>12}{'too strong':>12}")
for key in ("displacement", "visible_area", "agreement", "accuracy", "clean_accuracy", "entropy", "clean_entropy"):
    print(f"{key:<16}" + "".join(f"{row[key]:12.3f}" for row in found.values()))

# %%
# Entropy against how far each image was moved: crosses are images that the classifier no longer takes for what they
# were.
weak_cost = plots.plot_entropy(right, classifier, train[0][:200])
strong_cost = plots.plot_entropy(strong, classifier, train[0][:200])

# %%
# Between the two there is a dial at use time, without a new fit: ``strength`` moves every parameter toward the
# identity. (``from_pretrained(file, strength=0.3)`` does the same to a policy on disk.)
milder = copy.deepcopy(strong)
milder.strength = 0.3
print(milder)
mild = plots.plot_policies({"too strong": strong, "at strength 0.3": milder}, train[0][:6])
