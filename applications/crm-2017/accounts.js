// Makes the accounts of CRM_2017's seed unusable for who has read its source: the administrator
// gets ADMIN_PASSWORD and API_TOKEN, every other account a password and a token nobody knows.
// Run once, behind the seed and before the first server starts. The model hashes the passwords.
"use strict";

const { randomBytes } = require("crypto");
const models = require("../models");

const { ADMIN_PASSWORD, ADMIN_LOGIN, API_TOKEN } = process.env;

async function replaceAll() {
  if (!ADMIN_PASSWORD || !ADMIN_LOGIN || !API_TOKEN) {
    throw new Error("ADMIN_LOGIN, ADMIN_PASSWORD and API_TOKEN must be set");
  }
  // It would print each statement, with the token in it.
  models.sequelize.options.logging = false;
  // Those in the trash, too: an administrator can bring them back.
  const users = await models.User.findAll({ paranoid: false });
  if (!users.some((user) => user.login === ADMIN_LOGIN)) {
    throw new Error(`the seed has made no account ${ADMIN_LOGIN}`);
  }
  for (const user of users) {
    const known = user.login === ADMIN_LOGIN;
    user.password = known ? ADMIN_PASSWORD : randomBytes(32).toString("hex");
    user.token = known ? API_TOKEN : randomBytes(32).toString("hex");
    await user.save({ paranoid: false });
  }
}

replaceAll().then(
  () => process.exit(0),
  (error) => {
    console.error(error.message);
    process.exit(1);
  },
);
