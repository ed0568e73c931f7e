"""
Fine-tune a timm model
======================

A policy fitted to a model from `timm <https://github.com/huggingface/pytorch-image-models>`_, put into timm's own
training transform. The model here is timm's smallest, with random weights, so that nothing is fetched;
``pretrained=True`` and a larger name is all that changes.
"""

# %%
import torch
from fashion import batches, images
from torchvision.transforms import v2

from learned_affine import FitConfig, LearnedAffineAugment, plots
from learned_affine.classifier import evaluate_classifier, train_classifier

try:
    import timm
except ImportError as error:
    raise SystemExit("this example needs timm: pip install learned_affine[examples]") from error

torch.manual_seed(0)
model = timm.create_model("test_resnet", pretrained=False, num_classes=10)
config = timm.data.resolve_model_data_config(model)
print(f"{sum(p.numel() for p in model.parameters()):,} parameters, mean {config['mean']}")

# %%
# timm's models want normalised RGB images: ``preprocess`` stands between augmenter and classifier. The images here are
# grey and small; they are made larger and expanded first.
preprocess = v2.Normalize(config["mean"], config["std"])


def ready(pixels, labels):
    """RGB at twice the size."""
    return v2.functional.resize(pixels.expand(-1, 3, -1, -1), [56, 56]), labels


train, held_out, test = (
    ready(*images("train", 0, 600)),
    ready(*images("train", 1000, 1300)),
    ready(*images("test", 0, 300)),
)
train_classifier(model, batches(*train), epochs=4, preprocess=preprocess, seed=0)
print(evaluate_classifier(model, batches(*test), preprocess=preprocess))

# %%
# Fit the augmenter to the model, then go on training on what it makes of the images. (Part of what is gained here comes
# from training longer: a comparison has to give every arm as many steps, as those on the results page do.)
augment = LearnedAffineAugment.fit(
    model,
    batches(*train),
    val_loader=batches(*held_out),
    preprocess=preprocess,
    config=FitConfig(steps=60),
    padding_mode="zeros",
)
train_classifier(model, batches(*train), augment=augment, epochs=3, preprocess=preprocess, seed=1)
print(evaluate_classifier(model, batches(*test), preprocess=preprocess))

# %%
# In timm's own pipeline it stands where the image is still a PIL image: after the crop and the flip.
pipeline = timm.data.create_transform(**{**config, "input_size": (3, 56, 56)}, is_training=True, auto_augment=None)
pipeline.transforms.insert(2, augment)
print(pipeline)
picture = v2.functional.to_pil_image(train[0][0])
print(pipeline(picture).shape)

# %%
figure = plots.plot_before_after(augment, train[0][8:13])
