//! The gateway against a real nats-server and the simulator's Discord.

mod commands;
mod drafts;
mod events;
mod limits;
mod logins;
mod outage;
mod resume;
mod unreadable;
mod world;
