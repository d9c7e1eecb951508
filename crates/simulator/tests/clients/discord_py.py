"""discord.py, pointed at a simulator and otherwise unchanged.

Run: `python discord_py.py <address> <bot token>`; it prints one JSON line and exits with 0 when
everything it tried worked.
"""

import asyncio
import io
import json
import sys
import urllib.request

import discord
import yarl
from discord import app_commands

ADDRESS, TOKEN = sys.argv[1:3]
discord.http.Route.BASE = f"http://{ADDRESS}/api/v10"
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(f"ws://{ADDRESS}/")


def control(method, path, body=None):
    request = urllib.request.Request(
        f"http://{ADDRESS}/control/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


class Bot(discord.Client):
    def __init__(self):
        intents = discord.Intents.default()
        intents.message_content = True
        intents.members = True
        super().__init__(intents=intents)
        self.tree = app_commands.CommandTree(self)
        self.waiting = {}
        self.steps = []
        self.failure = None
        self.resumed = asyncio.Event()

    async def on_ready(self):
        asyncio.create_task(self.story())

    async def on_resumed(self):
        self.resumed.set()

    def did(self, step):
        self.steps.append(step)

    async def heard(self, event, check):
        return await self.wait_for(event, check=check, timeout=10)

    async def control(self, *call):
        return await asyncio.to_thread(control, *call)

    async def story(self):
        try:
            await asyncio.wait_for(self.tell(), 60)
        except BaseException as error:  # whatever it is, it is the result of this script
            self.failure = f"after {self.steps[-1:]}: {type(error).__name__}: {error}"
        await self.close()

    async def tell(self):
        guild = self.guilds[0]
        assert guild.member_count == len(guild.members), "members were not chunked"
        self.did("members")
        person = next(member for member in guild.members if not member.bot)
        channel = guild.text_channels[0]

        def from_person(message):
            return message.author.id == person.id

        waiting = asyncio.create_task(self.heard("message", from_person))
        await asyncio.sleep(0)
        await self.control(
            "POST",
            f"channels/{channel.id}/messages",
            {"author_id": str(person.id), "content": f"<@{self.user.id}> こんにちは"},
        )
        asked = await waiting
        assert self.user.mentioned_in(asked) and "こんにちは" in asked.content
        self.did("heard")
        async with channel.typing():
            reply = await asked.reply("はい", mention_author=False)
        assert reply.reference.message_id == asked.id
        await reply.edit(content="はい、こんにちは")
        self.did("reply and edit")
        file = discord.File(io.BytesIO("ファイル".encode()), filename="手紙.txt")
        embed = discord.Embed(title="題", description="本文", color=0x336699)
        embed.add_field(name="名", value="値", inline=True)
        sent = await channel.send("添付", file=file, embed=embed)
        assert (await sent.attachments[0].read()).decode() == "ファイル"
        assert sent.embeds[0].fields[0].inline
        self.did("file and embed")
        await asked.add_reaction("👍")
        fetched = await channel.fetch_message(asked.id)
        assert fetched.reactions[0].me and str(fetched.reactions[0].emoji) == "👍"
        assert [user.id async for user in fetched.reactions[0].users()] == [self.user.id]
        await asked.remove_reaction("👍", self.user)
        self.did("reactions")
        thread = await asked.create_thread(name="話", auto_archive_duration=60)
        assert thread.id == asked.id
        await thread.send("スレッドで")
        await thread.edit(name="話のつづき", archived=True)
        active = await guild.active_threads()
        assert thread.id not in [one.id for one in active]
        archived = [one async for one in channel.archived_threads()]
        assert thread.id in [one.id for one in archived]
        self.did("threads")
        await sent.pin()
        assert [message.id async for message in channel.pins()] == [sent.id]
        await sent.unpin()
        self.did("pins")
        history = [message async for message in channel.history(limit=200)]
        assert asked.id in [message.id for message in history]
        try:
            await channel.send("")
        except discord.HTTPException as error:
            assert error.code == 50006, error
        try:
            await channel.send("x" * 2001)
        except discord.HTTPException as error:
            assert error.code == 50035 and "2000" in error.text, error
        try:
            await channel.fetch_message(1)
        except discord.NotFound as error:
            assert error.code == 10008, error
        self.did("errors")
        direct = await person.create_dm()
        await direct.send("こんにちは")
        self.did("direct message")

        @self.tree.command(name="ask", description="聞く")
        @app_commands.describe(question="質問")
        async def ask(interaction: discord.Interaction, question: str):
            pass

        assert [command.name for command in await self.tree.sync()] == ["ask"]
        assert [command.name for command in await self.tree.fetch_commands()] == ["ask"]
        self.did("commands")
        for number in range(7):
            await channel.send(f"速く {number}")
        self.did("rate limits")
        await self.control("POST", "gateway/drop", {"how": "abort"})
        await asyncio.wait_for(self.resumed.wait(), 20)
        waiting = asyncio.create_task(self.heard("message", from_person))
        await asyncio.sleep(0)
        await self.control(
            "POST",
            f"channels/{channel.id}/messages",
            {"author_id": str(person.id), "content": "まだいる?"},
        )
        assert (await waiting).content == "まだいる?"
        self.did("resumed")
        await reply.delete()
        await channel.delete_messages(history[:2])
        self.did("deleted")


bot = Bot()
bot.run(TOKEN, log_handler=None)
print(json.dumps({"library": discord.__version__, "steps": bot.steps, "failure": bot.failure}))
sys.exit(1 if bot.failure or not bot.steps else 0)
