// A role for each function: its own log group, and of the rest what permissions.yml names, nothing else.
module.exports = async ({ resolveVariable }) => {
  const asked = ["file(infra/aws/permissions.yml)", "sls:stage"];
  const [{ functions, policies }, stage] = await Promise.all(asked.map(resolveVariable));
  const roles = Object.entries(functions).map(([name, allowed]) => [
    roleName(name),
    {
      Type: "AWS::IAM::Role",
      Properties: {
        AssumeRolePolicyDocument: document([
          { Effect: "Allow", Principal: { Service: "lambda.amazonaws.com" }, Action: "sts:AssumeRole" },
        ]),
        Policies: [
          { PolicyName: "log", PolicyDocument: document([logs(`/aws/lambda/crewline-${stage}-${name}`)]) },
          ...allowed.map((policy) => ({ PolicyName: policy, PolicyDocument: document(policies[policy]) })),
        ],
      },
    },
  ]);
  return { Resources: Object.fromEntries(roles) };
};

function logs(group) {
  const resource = `arn:\${AWS::Partition}:logs:\${AWS::Region}:\${AWS::AccountId}:log-group:${group}:*`;
  return { Effect: "Allow", Action: ["logs:CreateLogStream", "logs:PutLogEvents"], Resource: { "Fn::Sub": resource } };
}

function document(statements) {
  return { Version: "2012-10-17", Statement: statements };
}

// As serverless.yml names it: flow_status has FlowStatusRole.
function roleName(name) {
  const words = name.split("_").map((word) => word[0].toUpperCase() + word.slice(1));
  return `${words.join("")}Role`;
}
