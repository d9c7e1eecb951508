// discord.js 14, pointed at a simulator and otherwise unchanged.
//
// Run where discord.js is installed: `node discord_js.mjs <address> <bot token>`; it prints one
// JSON line and exits with 0 when everything it tried worked.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import path from 'node:path';

// The library is looked for where the script is started, not where it lies.
const require = createRequire(path.join(process.cwd(), 'index.js'));
const { Client, GatewayIntentBits, Partials, EmbedBuilder, version } = require('discord.js');

const [address, token] = process.argv.slice(2);
const steps = [];

async function control(method, where, body) {
  const answer = await fetch(`http://${address}/control/${where}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  assert.ok(answer.ok, `${method} ${where}: ${answer.status}`);
  return answer.json();
}

const client = new Client({
  intents: [
    GatewayIntentBits.Guilds,
    GatewayIntentBits.GuildMembers,
    GatewayIntentBits.GuildMessages,
    GatewayIntentBits.GuildMessageReactions,
    GatewayIntentBits.DirectMessages,
    GatewayIntentBits.MessageContent,
  ],
  partials: [Partials.Channel],
  rest: { api: `http://${address}/api`, version: '10' },
});
client.on('error', (error) => console.error(error));

async function heard(author, act) {
  const waiting = new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('nothing was heard')), 10_000);
    const listen = (message) => {
      if (message.author.id !== author) return;
      clearTimeout(late);
      client.off('messageCreate', listen);
      resolve(message);
    };
    client.on('messageCreate', listen);
  });
  await act();
  return waiting;
}

async function tell() {
  const ready = once(client, 'clientReady');
  await client.login(token);
  await ready;
  steps.push('ready');
  const guild = client.guilds.cache.first();
  const members = await guild.members.fetch();
  assert.equal(members.size, guild.memberCount);
  steps.push('members');
  const person = members.find((member) => !member.user.bot).user;
  const channel = guild.channels.cache.find((one) => one.isTextBased());
  const say = (content) =>
    control('POST', `channels/${channel.id}/messages`, { author_id: person.id, content });
  const asked = await heard(person.id, () => say(`<@${client.user.id}> こんにちは`));
  assert.ok(asked.mentions.has(client.user.id));
  steps.push('heard');
  await channel.sendTyping();
  const reply = await asked.reply({ content: 'はい', allowedMentions: { repliedUser: false } });
  const edited = await reply.edit('はい、こんにちは');
  assert.equal(edited.content, 'はい、こんにちは');
  steps.push('reply and edit');
  const embed = new EmbedBuilder().setTitle('題').setDescription('本文').setColor(0x336699);
  const files = [{ attachment: Buffer.from('ファイル'), name: 'letter.txt' }];
  const sent = await channel.send({ content: '添付', embeds: [embed], files });
  const file = await fetch(sent.attachments.first().url);
  assert.equal(await file.text(), 'ファイル');
  steps.push('file and embed');
  await asked.react('👍');
  const again = await channel.messages.fetch({ message: asked.id, force: true });
  assert.ok(again.reactions.cache.get('👍').me);
  await again.reactions.cache.get('👍').users.remove(client.user.id);
  steps.push('reactions');
  const thread = await asked.startThread({ name: '話', autoArchiveDuration: 60 });
  await thread.send('スレッドで');
  await thread.setArchived(true);
  const archived = await channel.threads.fetchArchived();
  assert.ok(archived.threads.has(asked.id));
  steps.push('threads');
  await sent.pin();
  const pins = await channel.messages.fetchPins();
  assert.equal(pins.items.length, 1);
  steps.push('pins');
  await assert.rejects(channel.send('x'.repeat(2001)), (error) => error.code === 50035);
  await assert.rejects(channel.messages.fetch('1'), (error) => error.code === 10008);
  steps.push('errors');
  await person.send('こんにちは');
  steps.push('direct message');
  const command = { name: 'ask', description: '聞く' };
  assert.equal((await client.application.commands.set([command])).size, 1);
  assert.equal((await client.application.commands.fetch()).size, 1);
  steps.push('commands');
  for (let number = 0; number < 7; number += 1) await channel.send(`速く ${number}`);
  steps.push('rate limits');
  const resumed = once(client, 'shardResume');
  await control('POST', 'gateway/drop', { how: 'abort' });
  await resumed;
  const later = await heard(person.id, () => say('まだいる?'));
  assert.equal(later.content, 'まだいる?');
  steps.push('resumed');
  await reply.delete();
  await channel.bulkDelete([asked.id, later.id]);
  steps.push('deleted');
}

let failure = null;
const late = new Promise((_, reject) => setTimeout(() => reject(new Error('too slow')), 60_000).unref());
try {
  await Promise.race([tell(), late]);
} catch (error) {
  failure = `after ${steps.at(-1)}: ${error.stack}`;
}
await client.destroy();
console.log(JSON.stringify({ library: version, steps, failure }));
process.exit(failure ? 1 : 0);
