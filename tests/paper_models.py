"""The networks of papers whose experiments are suites."""

# The seventeen of An, Liu and Zheng (2020), in the order of their Table 5.
SEVENTEEN = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50",
    "resnext101",
    "wide_resnet50",
    "wide_resnet101",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
)
