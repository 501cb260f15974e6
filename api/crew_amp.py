from functions.crew_amp import app
