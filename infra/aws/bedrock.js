// What the worker may call at Bedrock: the models and inference profiles that the parameter names by their ARNs, or nothing.
module.exports = async ({ resolveVariable }) => {
  const named = await resolveVariable("param:bedrock");
  if (!named) return {};
  const statement = {
    Effect: "Allow",
    Action: ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"],
    Resource: named.split(","),
  };
  const policy = { PolicyDocument: { Version: "2012-10-17", Statement: [statement] }, PolicyName: "call_models" };
  const role = { Roles: [{ Ref: "CrewWorkerRole" }] };
  return { Resources: { BedrockPolicy: { Type: "AWS::IAM::Policy", Properties: { ...policy, ...role } } } };
};
