"""The text, the numpy model and the recipe parts behind tools/train_demo.py."""
