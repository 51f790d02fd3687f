"""The tape. Read it in this order: config, arrays, variable, function, backward."""
