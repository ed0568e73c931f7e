"""Scripts to start from; the benchmarks use their images and classifiers, too."""
