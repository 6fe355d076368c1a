"""Amazon's linear learner and k-means, with NumPy and scikit-learn.

The user's interpreter runs this package, which is why it imports nothing of hpoq.
"""
