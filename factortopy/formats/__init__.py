"""Brain files, read strictly and written: npy, MGH, GIFTI, CIFTI, and one form for what is wrong with a file."""
