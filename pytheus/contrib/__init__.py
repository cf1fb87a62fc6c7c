"""Parts that belong to one framework, and import it.

Modules:

- `celery`: the tasks of Celery, by its signals
- `django`: views, databases and caches of Django, and a view that serves the metrics
"""
