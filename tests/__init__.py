"""The tests mirror receiver/; stories that cross it are in flows/, the real parts they stand on in bed/."""
