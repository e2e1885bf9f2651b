"""The service and its callers in network namespaces of their own, with a bad network between them."""
