// The API's stage, with what it takes at most of all callers together. osls would have a deployment make it, with no
// limits; of its own it takes new ones at each deploy. A deployment has another name each time, so this is no YAML.
module.exports = async ({ resolveVariable }) => {
  const asked = ["sls:instanceId", "sls:stage", "param:rate", "param:burst"];
  const [deploy, stage, rate, burst] = await Promise.all(asked.map(resolveVariable));
  const deployment = `ApiGatewayDeployment${deploy}`;
  return {
    extensions: { [deployment]: { Properties: { StageName: { Ref: "AWS::NoValue" } } } },
    Resources: {
      ApiStage: {
        Type: "AWS::ApiGateway::Stage",
        Properties: {
          RestApiId: { Ref: "ApiGatewayRestApi" },
          DeploymentId: { Ref: deployment },
          StageName: stage,
          MethodSettings: [
            { HttpMethod: "*", ResourcePath: "/*", ThrottlingRateLimit: Number(rate), ThrottlingBurstLimit: Number(burst) },
          ],
        },
      },
    },
  };
};
