// model_type -> family. The only list of families.
import { bert } from "./bert.ts";
import { ConfigError, type Family, type Model } from "./family.ts";

const families: readonly Family[] = [bert];

/** The model that config.json describes; throws a `ConfigError` for what is not supported. */
export function modelOf(json: Readonly<Record<string, unknown>>): Model {
  const family = familyOf(json);
  return family.build(family.configure(json));
}

function familyOf(json: Readonly<Record<string, unknown>>): Family {
  const modelType = json.model_type;
  const family = families.find((each) => each.modelType === modelType);
  if (family === undefined) {
    const known = families.map((each) => each.modelType).join(", ");
    throw new ConfigError("model_type", `is ${JSON.stringify(modelType)}, known are ${known}`);
  }
  const architectures = json.architectures;
  if (
    Array.isArray(architectures) &&
    !architectures.some((each) => family.architectures.includes(each))
  ) {
    const known = family.architectures.join(", ");
    throw new ConfigError(
      "architectures",
      `is ${JSON.stringify(architectures)}, known are ${known}`,
    );
  }
  return family;
}
