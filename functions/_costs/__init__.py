"""Money over HTTP: the routes of budgets, prices and usage, which functions.cost_report serves."""
