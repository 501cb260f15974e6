"""Money over HTTP: the routes of budgets (`budgets`), which functions.cost_report serves."""
