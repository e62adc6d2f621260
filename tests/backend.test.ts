// The backend suite in Node.
import { backends } from "./backends.ts";
import { backendSuite } from "./backend-suite.ts";

backendSuite(backends);
