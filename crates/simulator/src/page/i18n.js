// The page's words in English and Japanese.

const WORDS = {
  skip: ["Skip to the message box", "入力欄へ移動"],
  title: ["Kotonoha", "ことのは"],
  subtitle: ["simulator", "シミュレーター"],
  rooms: ["Rooms", "部屋"],
  direct: ["Direct messages", "ダイレクトメッセージ"],
  thread: ["Thread", "スレッド"],
  threadOf: ["Thread in #{name}", "#{name} のスレッド"],
  language: ["日本語で表示", "Show in English"],
  theme: ["Switch between light and dark", "明るい表示と暗い表示を切り替え"],
  drawer: ["Faults and ledger", "障害と記録"],
  offline: ["Connection lost. Trying again…", "接続が切れました。つなぎ直しています…"],
  back: ["Back", "戻る"],
  close: ["Close", "閉じる"],
  messages: ["Messages", "メッセージ"],
  today: ["Today", "今日"],
  yesterday: ["Yesterday", "昨日"],
  edited: ["(edited)", "（編集済み）"],
  writing: ["writing…", "書いています…"],
  isTyping: ["{name} is typing…", "{name} さんが入力中…"],
  areTyping: ["{name} are typing…", "{name} さんたちが入力中…"],
  bot: ["BOT", "ボット"],
  reply: ["Reply", "返信"],
  react: ["Add a reaction", "リアクションを付ける"],
  reactWith: ["React with {name}", "{name} でリアクション"],
  startThread: ["Start a thread", "スレッドを始める"],
  threadName: ["Name of the thread", "スレッドの名前"],
  openThread: ["Open the thread", "スレッドを開く"],
  edit: ["Edit", "編集"],
  editTitle: ["Edit the message", "メッセージを編集"],
  newText: ["New text", "新しい本文"],
  remove: ["Delete", "削除"],
  removeTitle: ["Delete this message?", "このメッセージを削除しますか？"],
  save: ["Save", "保存"],
  create: ["Create", "作成"],
  cancel: ["Cancel", "キャンセル"],
  compose: ["Message to {name}", "{name} へのメッセージ"],
  placeholder: ["Message {name}", "{name} に送る"],
  send: ["Send", "送信"],
  attach: ["Attach files", "ファイルを添付"],
  removeFile: ["Remove {name}", "{name} を外す"],
  mention: ["Mention somebody", "メンションする"],
  speakAs: ["Speak as", "発言する人"],
  as: ["as", "話す人"],
  replyingTo: ["Replying to {name}", "{name} さんへの返信"],
  stopReply: ["Do not reply", "返信をやめる"],
  originalGone: ["The original message was deleted", "元のメッセージは削除されました"],
  toBottom: ["To the newest message", "最新のメッセージへ"],
  emptyTitle: ["Nothing here yet", "まだ何もありません"],
  emptyChannel: ["Mention the bot with @ to begin a conversation.", "@ でボットにメンションして、会話を始めましょう。"],
  emptyDirect: ["Write something: the bot answers here without a mention.", "何か書いてみてください。ここではメンションがなくても届きます。"],
  chooseTitle: ["Choose a room", "部屋を選んでください"],
  choose: ["Pick one from the list to see its messages.", "一覧から選ぶと、メッセージが表示されます。"],
  noRooms: ["There are no rooms yet. Add a guild and people in the drawer below.", "まだ部屋がありません。下の「障害と記録」からサーバーと人を追加できます。"],
  noSpeaker: ["Nobody can speak here. Add a person in the drawer.", "ここで話せる人がいません。「障害と記録」から人を追加してください。"],
  startedThread: ["started the thread “{name}”", "スレッド「{name}」を始めました"],
  pinnedMessage: ["pinned a message", "メッセージをピン留めしました"],
  joined: ["joined", "参加しました"],
  attachmentOnly: ["(attachment)", "（添付ファイル）"],
  said: ["{name}: {text}", "{name}：{text}"],

  botOnline: ["{name} is connected", "{name} は接続中です"],
  botOffline: ["{name} is not connected. Set DISCORD_API_URL to {address} and start it.", "{name} は未接続です。DISCORD_API_URL を {address} にして起動してください。"],

  connection: ["Gateway connection", "ゲートウェイ接続"],
  connectionHelp: ["What the bot’s connection suffers, once for each press.", "ボットの接続に一度だけ起こす障害です。"],
  dropAbort: ["Cut the connection", "接続を切断"],
  dropReconnect: ["Ask to reconnect", "再接続を要求"],
  dropInvalid: ["End the session", "セッションを無効化"],
  duplicate: ["Send the next event twice", "次のイベントを二重に送る"],
  restFaults: ["Discord’s REST API", "Discord の REST API"],
  restHelp: ["Stays on until you switch it off.", "オフにするまで続きます。"],
  rest500: ["Fail with 500", "500 エラーにする"],
  rest429: ["Answer 429 (1 s)", "429 を返す（1 秒）"],
  restDelay: ["Delay every answer by 1.5 s", "すべての応答を 1.5 秒遅らせる"],
  restLost: ["Lose the answer to the next message", "次の送信の応答を失う"],
  modelFaults: ["Model provider", "モデル"],
  modelHelp: ["Stays on until you switch it off.", "オフにするまで続きます。"],
  model500: ["Fail with 500", "500 エラーにする"],
  model429: ["Answer 429 (5 s)", "429 を返す（5 秒）"],
  modelDelay: ["Think for 5 s first", "5 秒考えてから答える"],
  modelBreak: ["Break off the next answer halfway", "次の回答を途中で切る"],
  clearAll: ["Switch everything off", "すべてオフにする"],
  world: ["Add to the world", "世界に追加"],
  worldHelp: ["New people join the guild you are looking at.", "新しい人は、いま見ているサーバーに加わります。"],
  addUser: ["Add a person", "人を追加"],
  addChannel: ["Add a channel", "チャンネルを追加"],
  addGuild: ["Add a guild", "サーバーを追加"],
  name: ["Name", "名前"],
  firstChannel: ["general", "雑談"],
  records: ["Records", "記録"],
  recordsHelp: ["Everything that crossed the wire, newest below.", "やりとりのすべて。新しいものが下です。"],
  ledger: ["Open the ledger (JSON)", "記録を開く（JSON）"],
  modelRequests: ["Open the model requests (JSON)", "モデルへのリクエストを開く（JSON）"],
  worldJson: ["Open the world (JSON)", "世界を開く（JSON）"],
  opensTab: ["opens in a new tab", "新しいタブで開きます"],
  nothingRecorded: ["Nothing recorded yet.", "まだ記録はありません。"],

  done: ["Done.", "実行しました。"],
  faultOn: ["On: {name}", "オン：{name}"],
  faultOff: ["Off: {name}", "オフ：{name}"],
  unreachable: ["The simulator does not answer. Check that it is running, then try again.", "シミュレーターが応答しません。起動しているか確かめて、もう一度お試しください。"],
  refused: ["That was refused: {reason}", "受け付けられませんでした：{reason}"],
  tooLarge: ["“{name}” is larger than 10 MB. Choose a smaller file.", "「{name}」は 10 MB を超えています。小さいファイルを選んでください。"],
  tooMany: ["At most 10 files fit into one message. Remove some.", "一度に送れるのは 10 件までです。いくつか外してください。"],
  tooLong: ["At most 2000 characters fit into one message; this has {count}. Shorten it or send it in parts.", "1 通は 2000 文字までです（いま {count} 文字）。短くするか、分けて送ってください。"],
  unreadable: ["“{name}” could not be read. Choose it again.", "「{name}」を読み込めませんでした。もう一度選んでください。"],
};

/** The language of the page: `en` or `ja`. */
export function language() {
  return document.documentElement.lang === "ja" ? "ja" : "en";
}

/** The words for a key, with `{name}` and the like filled in. */
export function t(key, values = {}) {
  const words = WORDS[key]?.[language() === "ja" ? 1 : 0] ?? key;
  return words.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Puts the words into the fixed parts of the page. */
export function translatePage() {
  for (const element of document.querySelectorAll("[data-i18n]")) element.textContent = t(element.dataset.i18n);
  for (const element of document.querySelectorAll("[data-i18n-label]")) {
    element.setAttribute("aria-label", t(element.dataset.i18nLabel));
    if (element.tagName === "BUTTON") element.title = t(element.dataset.i18nLabel);
  }
  document.title = `${t("title")} ${t("subtitle")}`;
}

/** The time of day, or the day, of an ISO timestamp in the page's language. */
export function clock(iso) {
  return new Intl.DateTimeFormat(language(), { hour: "numeric", minute: "2-digit" }).format(new Date(iso));
}

/** A day as people say it. */
export function day(iso) {
  const date = new Date(iso);
  const midnight = (value) => new Date(value).setHours(0, 0, 0, 0);
  const age = Math.round((midnight(Date.now()) - midnight(date)) / 86_400_000);
  if (age === 0) return t("today");
  if (age === 1) return t("yesterday");
  return new Intl.DateTimeFormat(language(), { dateStyle: "long" }).format(date);
}
