"""The ufuncs of scipy.special; imported when one of them first meets a Variable."""
