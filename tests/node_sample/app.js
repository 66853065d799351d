// A small twelve-factor application, for the tests: notes in PostgreSQL, files in public/uploads.
// `node app.js migrate`, `seed` and `secure` prepare the database, `node app.js` serves, and
// `node app.js beat NAME` notes every half second in the database that it works.
"use strict";

const fs = require("fs");
const http = require("http");
const os = require("os");
const path = require("path");
const { Pool } = require("pg");

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 2 });
// The pool connects again for the next query.
pool.on("error", (error) => console.error(error.message));

const commands = {
  migrate: () =>
    pool.query(
      "CREATE TABLE IF NOT EXISTS notes (text text NOT NULL);" +
        "CREATE TABLE IF NOT EXISTS beats (name text, server text, at timestamptz);",
    ),
  seed: () => pool.query("INSERT INTO notes VALUES ('public: 1234')"),
  secure: () => pool.query("UPDATE notes SET text = 'secured' WHERE text LIKE 'public: %'"),
};

function read(request) {
  return new Promise((resolve, reject) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => resolve(Buffer.concat(parts)));
    request.on("error", reject);
  });
}

async function answer(request) {
  console.log(`${request.method} ${request.url}`);
  const file = path.join("public/uploads", path.basename(request.url));
  if (request.url === "/health") {
    return (await pool.query("SELECT 1")).rows.length ? "ok" : "";
  }
  if (request.url.startsWith("/uploads/") && request.method === "PUT") {
    const temporary = path.join("work", `${process.pid}`);
    fs.writeFileSync(temporary, await read(request));
    fs.copyFileSync(temporary, file);
    fs.unlinkSync(temporary);
    return "kept";
  }
  if (request.url.startsWith("/uploads/")) {
    return fs.readFileSync(file);
  }
  if (request.url === "/notes" && request.method === "POST") {
    await pool.query("INSERT INTO notes VALUES ($1)", [(await read(request)).toString()]);
  }
  const { rows } = await pool.query("SELECT text FROM notes ORDER BY text");
  const { GREETING, DB_HOST, WORDS } = process.env;
  return JSON.stringify({ notes: rows.map((row) => row.text), GREETING, DB_HOST, WORDS });
}

function serve() {
  const server = http.createServer((request, response) => {
    answer(request).then(
      (body) => response.end(body),
      (error) => {
        console.error(error.message);
        response.writeHead(500).end(error.message);
      },
    );
  });
  server.listen(Number(process.env.PORT));
}

function beat(name) {
  // Of this server's clock: what a network has held up may come when the process is long gone.
  const write = () =>
    pool
      .query("INSERT INTO beats VALUES ($1, $2, $3)", [name, os.hostname(), new Date()])
      .catch((error) => console.error(error.message));
  console.error(`${name} begins`);
  process.on("SIGTERM", () => {
    console.error(`${name} ends in good order`);
    // Some say so when they were stopped.
    process.exit(name === "scheduler" ? 3 : 0);
  });
  setInterval(write, 500);
}

const command = commands[process.argv[2]];
if (process.argv[2] === "beat") {
  beat(process.argv[3]);
} else if (command) {
  command().then(
    () => process.exit(0),
    (error) => {
      console.error(error.message);
      process.exit(1);
    },
  );
} else {
  serve();
}
