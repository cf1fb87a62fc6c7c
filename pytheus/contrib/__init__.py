"""Parts that belong to one framework, and import it.

Modules:

- `django`: middleware and a view for Django
"""
