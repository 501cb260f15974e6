from functions.feedback import app
