"""Official targets: loaders of published files, the compact table of figures, the target database and its selection."""
