/*
 * The commands of the chat: the one list from which the server makes its table and /help, and the client what Tab
 * completes.
 *
 * CHAT_VERBS(X) calls X(function, name, arguments, help) for each command, in alphabetical order. The arguments are written
 * as people read them: ROOM, USER, TEXT, NAME, COMMAND, PASSWORD; in brackets when they may be left out.
 */
#ifndef COMMON_VERBS_H
#define COMMON_VERBS_H

#define CHAT_VERBS(X)                                                                                                  \
	X(admin, "admin", "PASSWORD", "makes you an administrator, who may close any room")                                \
	X(delete_room, "delete-room", "ROOM", "closes a room that you made")                                               \
	X(dm, "dm", "USER TEXT", "says TEXT to USER alone; /w does, too")                                                  \
	X(events, "events", "", "answers in JSON from now on, one object a line")                                          \
	X(help, "help", "[COMMAND]", "lists the commands, or explains one")                                                \
	X(history, "history", "[N] [before NUMBER|DATE] [in ROOM]", "shows what was said before")                          \
	X(ignore, "ignore", "USER [--on|--off]",                                                                           \
		"keeps USER from writing to you alone, inviting or meeting you; again, or --off: no longer; --on: also who"  \
		" has that name later")                                                                                      \
	X(invite, "invite", "USER [ROOM]", "invites USER to the room where you are, or to ROOM")                           \
	X(join, "join", "[ROOM] [--history N|all|none] [after NUMBER]",                                                    \
		"goes to ROOM, which is made if need be; without a name: meets a stranger")                                \
	X(latest, "latest", "[ROOM]", "leaves out what you have not been sent yet, and goes on with what is said now")     \
	X(leave, "leave", "[ROOM]", "leaves the room where you are")                                                       \
	X(mark, "mark", "NUMBER [ROOM]", "keeps that you have read up to message NUMBER")                                  \
	X(me, "me", "TEXT", "says what you do")                                                                            \
	X(msg, "msg", "TEXT", "says TEXT, even if it begins with /")                                                       \
	X(new_room, "new-room", "[NAME]", "makes a room and goes there; without a name: waits there for a stranger")       \
	X(nick, "nick", "NAME", "gives you another name")                                                                  \
	X(ping, "ping", "[TEXT]", "is answered at once")                                                                   \
	X(quit, "quit", "", "leaves the chat; so does !exit")                                                              \
	X(rooms, "rooms", "", "lists the rooms")                                                                           \
	X(search, "search", "WORDS [from:NAME] [in:ROOM] [before:DATE] [after:DATE] [page:N]", "finds what was said")      \
	X(session, "session", "ID [NAME] [after NUMBER] [in ROOM]", "tells by which ID your client, if it comes back, knows itself")  \
	X(switch, "switch", "ROOM", "sets where plain text goes, if you are in several rooms")                             \
	X(topic, "topic", "[--room ROOM] [--clear|TEXT]", "tells, sets or removes the topic of the room")                  \
	X(who, "who", "[ROOM]", "tells who is here, or in ROOM")

#endif
