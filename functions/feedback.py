"""POST /v1/feedback, /v1/recommendations, GET /v1/learning -- what agents and programs learn from people.

Feedback is appended to the task's log in Redis, once by its id, and counts in the very next answer. A
recommendation costs one command of Redis in a warm process: it reads what is new. Nothing here needs
more than numpy, and giving feedback does without; models are made by `functions.retrain`.

DELETE /v1/feedback -- forgets what a subject, or everybody, has said of a task.
PUT /v1/learning/{task} -- goes back to an earlier model.
"""

from core import bootstrap
from core.identity import FEEDBACK_WRITE, LEARNING_READ, LEARNING_WRITE, RECOMMENDATIONS_READ
from functions._http import apps, auth
from functions._learning import answers, control, feedback

routes = [
    auth.GuardedRoute("/v1/feedback", feedback.give, auth.scope(FEEDBACK_WRITE), "POST"),
    auth.GuardedRoute("/v1/feedback", control.forget, auth.scope(LEARNING_WRITE), "DELETE"),
    auth.GuardedRoute(
        "/v1/recommendations", answers.recommend, auth.scope(RECOMMENDATIONS_READ), "POST"
    ),
    auth.GuardedRoute("/v1/learning", control.tasks, auth.scope(LEARNING_READ)),
    auth.GuardedRoute("/v1/learning/{task}", control.roll_back, auth.scope(LEARNING_WRITE), "PUT"),
]
app = apps.starlette("feedback", routes, needs=[bootstrap.seal_keys])
handler = apps.on_lambda(app)
