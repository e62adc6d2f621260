// Every operation in Chromium, against the reference.
import { createReferenceBackend } from "../../src/backend/reference.ts";
import { backendSuite } from "../backend-suite.ts";
import { kernels } from "./kernels.ts";

backendSuite([{ name: "reference", make: createReferenceBackend }, ...kernels]);
