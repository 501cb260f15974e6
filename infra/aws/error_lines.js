// Counts the lines that somebody should look at (docs/logs.md), of all functions: a flow that fails is no failed invocation.
module.exports = async ({ resolveVariable }) => {
  const [functions, stage] = await Promise.all(["self:functions", "sls:stage"].map(resolveVariable));
  const metric = { MetricNamespace: `crewline-${stage}`, MetricName: "ErrorLines", MetricValue: "1" };
  const filters = Object.keys(functions).map((name) => [
    `${logicalName(name)}ErrorLines`,
    {
      Type: "AWS::Logs::MetricFilter",
      DependsOn: `${logicalName(name)}LogGroup`, // which osls makes
      Properties: {
        LogGroupName: `/aws/lambda/crewline-${stage}-${name}`,
        FilterPattern: '{ $.level = "ERROR" || $.level = "CRITICAL" }',
        MetricTransformations: [metric],
      },
    },
  ]);
  return { Resources: Object.fromEntries(filters) };
};

// A function's name as osls writes it in the names of resources: Flow_status is FlowUnderscorestatus.
function logicalName(name) {
  return (name[0].toUpperCase() + name.slice(1)).replaceAll("_", "Underscore");
}
