// Alarms of all functions together: of the lines that somebody should look at (docs/logs.md), since a flow that fails is
// no failed invocation, and of invocations that Lambda refuses.
module.exports = async ({ resolveVariable }) => {
  const [functions, stage] = await Promise.all(["self:functions", "sls:stage"].map(resolveVariable));
  const names = Object.keys(functions);
  const errorLines = { Namespace: `crewline-${stage}`, MetricName: "ErrorLines" };
  const filters = names.map((name) => [`${logicalName(name)}ErrorLines`, errorFilter(name, stage, errorLines)]);
  const errors = alarm("A function logged an error; flows may fail though no invocation does.", 1, {
    ...errorLines,
    Statistic: "Sum",
    Period: 300,
  });
  const throttles = alarm("Lambda refused invocations; viewers, runs or the account's concurrency are at their limit.", 5, {
    // Ten are as many as an alarm may add up.
    Metrics: [{ Id: "all", Expression: "SUM(METRICS())" }, ...names.map((name, n) => throttled(name, stage, `f${n}`))],
  });
  return { Resources: { ...Object.fromEntries(filters), ErrorLinesAlarm: errors, ThrottlesAlarm: throttles } };
};

function errorFilter(name, stage, { Namespace, MetricName }) {
  return {
    Type: "AWS::Logs::MetricFilter",
    DependsOn: `${logicalName(name)}LogGroup`, // which osls makes
    Properties: {
      LogGroupName: `/aws/lambda/crewline-${stage}-${name}`,
      FilterPattern: '{ $.level = "ERROR" || $.level = "CRITICAL" }',
      MetricTransformations: [{ MetricNamespace: Namespace, MetricName, MetricValue: "1" }],
    },
  };
}

function throttled(name, stage, id) {
  const dimension = { Name: "FunctionName", Value: `crewline-${stage}-${name}` };
  const metric = { Namespace: "AWS/Lambda", MetricName: "Throttles", Dimensions: [dimension] };
  return { Id: id, ReturnData: false, MetricStat: { Period: 60, Stat: "Sum", Metric: metric } };
}

function alarm(description, periods, metrics) {
  return {
    Type: "AWS::CloudWatch::Alarm",
    Properties: {
      AlarmDescription: description,
      ...metrics,
      EvaluationPeriods: periods,
      Threshold: 0,
      ComparisonOperator: "GreaterThanThreshold",
      TreatMissingData: "notBreaching",
      AlarmActions: [{ Ref: "Alarms" }],
    },
  };
}

// A function's name as osls writes it in the names of resources: flow_status is FlowUnderscorestatus.
function logicalName(name) {
  return (name[0].toUpperCase() + name.slice(1)).replaceAll("_", "Underscore");
}
