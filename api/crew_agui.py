from functions.crew_agui import app
