#!/bin/sh
# Prints what an access key may do that functions outside AWS are given, on Vercel or in containers:
#
#   infra/aws/key_policy.sh BUCKET LEARNING_BUCKET [QUEUE_ARN]
#
# It is all that permissions.yml allows their functions together. The queue is that of CREWLINE_QUEUE_URL, where there is one.
set -eu
[ $# -ge 2 ] || { echo "usage: $0 BUCKET LEARNING_BUCKET [QUEUE_ARN]" >&2; exit 2; }
blobs=arn:aws:s3:::$1 models=arn:aws:s3:::$2
[ $# -eq 2 ] || queue=",
    {\"Effect\": \"Allow\", \"Action\": [\"sqs:SendMessage\"], \"Resource\": \"$3\"}"

cat <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], "Resource": ["$blobs/*", "$models/*"]},
    {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["$blobs", "$models"]}${queue:-}
  ]
}
JSON
