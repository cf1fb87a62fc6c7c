"""Mutation testing: small defects put into copies of the package, to see that the tests notice. See README.md."""
