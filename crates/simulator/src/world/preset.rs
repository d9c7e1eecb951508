//! The world a person or a test begins with.

use crate::world::World;
use crate::world::entity::channel_type;

impl World {
    /// One guild with a few people and channels, and the bot as its member.
    pub fn add_demo(&mut self) {
        let hana = self.create_user("hana", Some("花"), false);
        let sora = self.create_user("sora", Some("そら"), false);
        let alex = self.create_user("alex", Some("Alex"), false);
        let guild = self.create_guild("ことのは広場", hana, "ja");
        self.add_member(guild, sora);
        self.add_member(guild, alex);
        for (name, topic) in
            [("雑談", "なんでもどうぞ"), ("しつもん", "きいてみよう"), ("english", "Talk here")]
        {
            let id = self.create_channel(guild, name, channel_type::TEXT);
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.topic = Some(topic.into());
            }
        }
        self.add_member(guild, self.bot_id);
    }
}
