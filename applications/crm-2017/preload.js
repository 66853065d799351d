// Lets CRM_2017, written for Node 8 and pg 6, run on Node 18 and pg 8 with no file of it changed.
// node reads this before the application: NODE_OPTIONS="--require ./deployer/preload.js".
"use strict";

const fs = require("fs");

// Sequelize 3 listens for the events of what client.query(text) answers. Since pg 7 that is a
// promise; a pg.Query, submitted, still has the events.
const pg = require("pg");
const query = pg.Client.prototype.query;
pg.Client.prototype.query = function (config, values, callback) {
  const text = typeof config === "string";
  if (!text || typeof values === "function" || typeof callback === "function") {
    return query.apply(this, arguments);
  }
  return query.call(this, new pg.Query(config, values));
};

// fs.unlink(path) without a callback was legal before Node 10, and now it ends the process.
const unlink = fs.unlink;
fs.unlink = function (path, callback) {
  return unlink.call(fs, path, callback || (() => {}));
};
