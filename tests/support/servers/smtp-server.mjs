// npm's smtp-server as a foreign parser: what it takes goes to standard output, one JSON line a letter.
import { createRequire } from "node:module";
const { SMTPServer } = createRequire(process.argv[3] + "/")("smtp-server");
const server = new SMTPServer({
  authOptional: true,
  disabledCommands: ["STARTTLS"],
  logger: false,
  onData(stream, session, done) {
    const parts = [];
    stream.on("data", (part) => parts.push(part));
    stream.on("end", () => {
      const recipient = session.envelope.rcptTo[0].address;
      const content = Buffer.concat(parts).toString("base64");
      process.stdout.write(JSON.stringify({ recipient, content }) + "\n");
      done();
    });
  },
});
server.listen(Number(process.argv[2]), "127.0.0.1");
