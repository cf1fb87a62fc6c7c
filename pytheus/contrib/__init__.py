"""Parts that belong to one framework, and import it.

Modules:

- `celery`: the tasks of Celery, by its signals
- `django`: middleware and a view for Django
"""
