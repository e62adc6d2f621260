// The command line: `npm run explain -- "a text"`. Everything it does is in explain/.
import { main } from "./explain/main.ts";

// A reader that goes away (`| head`) has seen what it wanted.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

process.exitCode = await main(process.argv.slice(2));
