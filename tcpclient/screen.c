/*
 * Readline as an editor only
 *
 * Readline never touches the terminal: its output goes nowhere (rl_outstream), its redisplay function only notes that
 * there is something to draw, it does not set the terminal's modes, and it reads from a buffer that is given to it
 * (rl_getc_function) and holds a whole key each time, so it never waits while the lock is held. What came from the
 * network has no way into that buffer.
 *
 * Pasted text is not given to it as keys either: one line of it is inserted; several are sent only after a question.
 */
#include "tcpclient/screen.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "common/text.h"
#include "tcpclient/buffer.h"
#include "tcpclient/editor.h"
#include "tcpclient/keys.h"
#include "tcpclient/locks.h"
#include "tcpclient/secret.h"
#include "tcpclient/view.h"

/* U+2424, what stands for a line end within a message. */
#define LINE_END "\xE2\x90\xA4"

/* Bracketed paste, and reports of the focus. */
#define MODES_ON  "\033[?2004h\033[?1004h"
#define MODES_OFF "\033[?1004l\033[?2004l"
#define FOCUS_IN  "\033[I"
#define FOCUS_OUT "\033[O"

enum { HISTORY_LINES_MAX = 1000, ABORT_KEY = 0x07, WIDTH_UNKNOWN = 80, HEIGHT_UNKNOWN = 24 };

static struct {
	pthread_mutex_t mutex; /* SCREEN_LOCK */
	struct buffer out GUARDED_BY(SCREEN_LOCK);
	struct buffer prompt GUARDED_BY(SCREEN_LOCK);   /* ended by NUL                        */
	struct buffer question GUARDED_BY(SCREEN_LOCK); /* ended by NUL; empty: nothing is asked */
	struct buffer block GUARDED_BY(SCREEN_LOCK);    /* the lines that the question is about  */
	struct buffer rest GUARDED_BY(SCREEN_LOCK);     /* what stays in the line after them     */
	struct buffer given GUARDED_BY(SCREEN_LOCK);    /* what screen_next() returned last      */
	struct keys keys GUARDED_BY(SCREEN_LOCK);
	struct view view GUARDED_BY(SCREEN_LOCK); /* what is drawn of the typed line */
	size_t width GUARDED_BY(SCREEN_LOCK);
	size_t height GUARDED_BY(SCREEN_LOCK);
	bool drawn GUARDED_BY(SCREEN_LOCK);
	size_t folded_rows GUARDED_BY(SCREEN_LOCK); /* above the typed line, of what may be replaced; or 0 */
	size_t folded_width GUARDED_BY(SCREEN_LOCK); /* of the screen, when they were printed */
	bool line_came GUARDED_BY(SCREEN_LOCK); /* 'given' holds it */
	bool end_came GUARDED_BY(SCREEN_LOCK);
	bool unfocused GUARDED_BY(SCREEN_LOCK);
	screen_completer *completer GUARDED_BY(SCREEN_LOCK); /* or NULL */
	void *completer_context GUARDED_BY(SCREEN_LOCK);
	struct buffer tab_line GUARDED_BY(SCREEN_LOCK); /* as it was at the first of several Tabs, with a NUL */
	size_t tab_point GUARDED_BY(SCREEN_LOCK);
	size_t tab_turn GUARDED_BY(SCREEN_LOCK);
	char *history_path GUARDED_BY(SCREEN_LOCK); /* or NULL */
	const char *key GUARDED_BY(SCREEN_LOCK); /* what readline may read */
	size_t key_size GUARDED_BY(SCREEN_LOCK);
	struct termios before; /* constant after screen_open() */
	struct termios during; /* constant after screen_open() */
	/* Whether the terminal is ours. Relaxed: a signal handler that comes between the change and the mark restores
	 * once too often, which does no harm. */
	atomic_bool taken;
} screen = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static const int fatal_signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
static struct sigaction fatal_before[sizeof fatal_signals / sizeof fatal_signals[0]];

static void screen_lock(void) ACQUIRES(SCREEN_LOCK) UNCHECKED;
static void screen_unlock(void) RELEASES(SCREEN_LOCK) UNCHECKED;

static void screen_lock(void)
{
	mutex_lock(&screen.mutex);
}

static void screen_unlock(void)
{
	mutex_unlock(&screen.mutex);
}

/* The terminal */

/* Writes everything, or as much as a terminal that is gone takes. */
static void write_all(const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t written = write(STDOUT_FILENO, bytes, size);
		struct pollfd polled = {.fd = STDOUT_FILENO, .events = POLLOUT};

		if (written > 0) {
			bytes += written;
			size -= (size_t)written;
		} else if (written < 0 && errno == EAGAIN) { /* somebody shares the terminal and made it non-blocking */
			(void)poll(&polled, 1, -1);
		} else if (written == 0 || errno != EINTR) {
			return;
		}
	}
}

static void take_terminal(void) UNCHECKED
{
	screen.folded_rows = 0; /* somebody else may have written */
	atomic_store_explicit(&screen.taken, true, memory_order_relaxed);
	(void)tcsetattr(
		STDIN_FILENO, TCSANOW, &screen.during); /* fails when the terminal is gone, which read() tells */
	write_all(MODES_ON, sizeof MODES_ON - 1);
}

static void give_terminal(void)
{
	if (!atomic_exchange_explicit(&screen.taken, false, memory_order_relaxed))
		return;
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &screen.before);
	write_all(MODES_OFF, sizeof MODES_OFF - 1);
}

void screen_abandon(void)
{
	give_terminal();
}

/* Gives the terminal back and lets the signal do what it did before: a core dump, a sanitizer's report. */
static void on_fatal_signal(int number, siginfo_t *information, void *context)
{
	(void)context;
	give_terminal();
	for (size_t i = 0; i < sizeof fatal_signals / sizeof fatal_signals[0]; i++) {
		if (fatal_signals[i] == number)
			(void)sigaction(number, &fatal_before[i], NULL);
	}
	if (information->si_code <= 0) /* sent by somebody; the others happen again at the same place */
		(void)raise(number);
}

static void catch_fatal_signals(void)
{
	struct sigaction action = {.sa_sigaction = on_fatal_signal, .sa_flags = SA_SIGINFO};

	(void)sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof fatal_signals / sizeof fatal_signals[0]; i++)
		(void)sigaction(fatal_signals[i], &action, &fatal_before[i]);
}

static int read_modes(void)
{
	if (tcgetattr(STDIN_FILENO, &screen.before) != 0)
		return -errno;
	screen.during = screen.before;
	screen.during.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
	screen.during.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IXON | ISTRIP);
	screen.during.c_oflag |= OPOST | ONLCR;
	screen.during.c_cc[VMIN] = 1;
	screen.during.c_cc[VTIME] = 0;
	screen.during.c_cc[VINTR] = _POSIX_VDISABLE; /* Ctrl-C clears the line */
	screen.during.c_cc[VQUIT] = _POSIX_VDISABLE;
	return 0;
}

static void measure(void) REQUIRES(SCREEN_LOCK)
{
	struct winsize size;

	screen.width = WIDTH_UNKNOWN;
	screen.height = HEIGHT_UNKNOWN;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
		return;
	screen.width = size.ws_col;
	screen.height = size.ws_row;
}

/* Drawing */

static void erase(void) REQUIRES(SCREEN_LOCK)
{
	size_t width = screen.width;

	measure();
	if (screen.drawn)
		view_erase(&screen.out, &screen.view, width, screen.width);
	screen.drawn = false;
}

/* The prompt; or what readline shows instead, while it searches in the history for example. */
static void draw(void) REQUIRES(SCREEN_LOCK)
{
	struct view_input input = {.prompt = screen.prompt.bytes, .width = screen.width};
	struct buffer message = {0};

	if (screen.question.size > 0) {
		input.prompt = screen.question.bytes;
		input.text = "";
	} else {
		input.text = rl_line_buffer;
		input.text_size = (size_t)rl_end;
		input.cursor = (size_t)rl_point;
		if (rl_display_prompt != NULL && rl_display_prompt != rl_prompt) {
			buffer_add_clean(&message, rl_display_prompt, strlen(rl_display_prompt));
			buffer_add(&message, "", 1);
			input.prompt = message.bytes;
		}
	}
	input.rows_most = screen.height > 4 ? screen.height / 2 : screen.height;
	screen.view = view_draw(&screen.out, &input);
	screen.drawn = true;
	buffer_fini(&message);
}

static void show(void) REQUIRES(SCREEN_LOCK)
{
	write_all(screen.out.bytes, screen.out.size);
	buffer_clear(&screen.out);
}

static void redraw(void) REQUIRES(SCREEN_LOCK)
{
	erase();
	draw();
	show();
}

void screen_print(const char *lines, size_t size)
{
	screen_lock();
	erase();
	screen.folded_rows = 0;
	buffer_add(&screen.out, lines, size);
	draw();
	show();
	screen_unlock();
}

void screen_print_folded(const char *line, size_t size, bool again)
{
	screen_lock();
	erase();
	if (again && screen.folded_rows > 0 && screen.folded_width == screen.width &&
		screen.folded_rows + screen.view.rows <= screen.height)
		buffer_add_format(&screen.out, "\033[%zuA\r\033[K\0337\033[B\033[J\0338", screen.folded_rows);
	buffer_add(&screen.out, line, size);
	screen.folded_rows = view_rows(line, size - 1, screen.width);
	screen.folded_width = screen.width;
	draw();
	show();
	screen_unlock();
}

static void set_text(struct buffer *buffer, const char *text)
{
	buffer_clear(buffer);
	buffer_add(buffer, text, strlen(text) + 1);
}

void screen_set_prompt(const char *prompt)
{
	screen_lock();
	set_text(&screen.prompt, prompt);
	redraw();
	screen_unlock();
}

void screen_resize(void)
{
	screen_lock();
	redraw();
	screen_unlock();
}

void screen_resume(void)
{
	screen_lock();
	take_terminal();
	redraw();
	screen_unlock();
}

void screen_suspend(void)
{
	screen_lock();
	erase();
	show();
	give_terminal();
	(void)kill(getpid(), SIGSTOP); /* all threads stand still here */
	take_terminal();
	redraw();
	screen_unlock();
}

/* What readline calls; always with the lock held, because it runs only inside of ours. */

static int give_key(FILE *stream) UNCHECKED
{
	(void)stream;
	if (screen.key_size == 0)
		return ABORT_KEY; /* it wants more than a key: it shall not wait for it */
	screen.key_size--;
	return (unsigned char)*screen.key++;
}

static int is_key_left(void) UNCHECKED
{
	return screen.key_size > 0;
}

static void note_redisplay(void)
{
	/* drawn by screen_next(), once for many keys */
}

static void leave_modes_alone(int meta)
{
	(void)meta;
}

static void leave_modes_alone_too(void)
{
}

/* Adds a line to the history's file. */
static void keep_line(const char *line) REQUIRES(SCREEN_LOCK)
{
	struct buffer text = {0};
	int file;

	if (screen.history_path == NULL || strchr(line, '\n') != NULL)
		return;
	file = open(screen.history_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0)
		return;
	buffer_add_text(&text, line);
	buffer_add_text(&text, "\n");
	(void)!write(file, text.bytes, text.size); /* a full disk costs a line of history */
	(void)close(file);
	buffer_fini(&text);
}

void screen_open_history(const char *path)
{
	screen_lock();
	free(screen.history_path);
	screen.history_path = strdup(path);
	if (read_history(path) == 0)
		(void)history_truncate_file(path, HISTORY_LINES_MAX);
	using_history();
	screen_unlock();
}

static void take_line(char *line) UNCHECKED
{
	if (line == NULL) {
		screen.end_came = true;
		return;
	}
	buffer_clear(&screen.given);
	buffer_add(&screen.given, line, strlen(line) + 1);
	screen.line_came = true;
	if (line[0] != '\0' && !secret_is_in(line, strlen(line))) {
		add_history(line);
		keep_line(line);
	}
	free(line);
}

static char **complete_nothing(const char *text, int start, int end)
{
	(void)text;
	(void)start;
	(void)end;
	rl_attempted_completion_over = 1; /* no file names, please */
	return NULL;
}

/* Tab: completes the word before the cursor; again: the next possibility. */
static int complete_word(int count, int key) UNCHECKED
{
	struct buffer word = {0};
	size_t start;

	(void)count;
	(void)key;
	if (screen.completer == NULL)
		return 0;
	if (rl_last_func == complete_word && screen.tab_line.size > 0) {
		screen.tab_turn++;
	} else {
		buffer_clear(&screen.tab_line);
		buffer_add(&screen.tab_line, rl_line_buffer, (size_t)rl_end);
		buffer_add(&screen.tab_line, "", 1);
		screen.tab_point = (size_t)rl_point;
		screen.tab_turn = 0;
	}
	start = screen.completer(
		screen.completer_context, screen.tab_line.bytes, screen.tab_point, screen.tab_turn, &word);
	if (word.size > 0) {
		struct buffer line = {0};

		buffer_add(&line, screen.tab_line.bytes, start);
		buffer_add(&line, word.bytes, word.size);
		buffer_add(&line, screen.tab_line.bytes + screen.tab_point, screen.tab_line.size - screen.tab_point);
		rl_replace_line(line.bytes, 0);
		rl_point = (int)(start + word.size);
		buffer_fini(&line);
	}
	buffer_fini(&word);
	return 0;
}

static int clear_screen(int count, int key) UNCHECKED
{
	(void)count;
	(void)key;
	buffer_add_text(&screen.out, "\033[H\033[2J");
	screen.drawn = false;
	screen.folded_rows = 0;
	return 0;
}

/* Alt-Enter: a line end within the line. */
static int insert_line_end(int count, int key)
{
	(void)count;
	(void)key;
	(void)rl_insert_text("\n");
	return 0;
}

static void add_pasted(struct buffer *out, const char *text, size_t size);

/* Ctrl-X Ctrl-E: the line in an editor. What comes meanwhile waits. */
static int edit_line(int count, int key) UNCHECKED
{
	struct buffer text = {0};
	struct buffer clean = {0};

	(void)count;
	(void)key;
	buffer_add(&text, rl_line_buffer, (size_t)rl_end);
	buffer_add_text(&text, "\n");
	erase();
	show();
	give_terminal();
	if (editor_run(&text)) {
		add_pasted(&clean, text.bytes, text.size);
		while (clean.size > 0 && clean.bytes[clean.size - 1] == '\n')
			clean.size--;
		buffer_add(&clean, "", 1);
		rl_replace_line(clean.bytes, 0);
		rl_point = rl_end;
	}
	take_terminal();
	buffer_fini(&clean);
	buffer_fini(&text);
	return 0;
}

static ssize_t write_nowhere(void *cookie, const char *bytes, size_t size)
{
	(void)cookie;
	(void)bytes;
	return (ssize_t)size;
}

/* Without a UTF-8 locale readline would take each byte for a character. */
static void choose_locale(void)
{
	if (setlocale(LC_ALL, "") != NULL && strcmp(nl_langinfo(CODESET), "UTF-8") == 0)
		return;
	(void)setenv("LC_ALL", "C.UTF-8", 1); /* readline looks there itself; without memory it edits bytes */
	(void)setlocale(LC_ALL, "C.UTF-8");
}

static int start_readline(void)
{
	cookie_io_functions_t functions = {.write = write_nowhere};
	FILE *nowhere = fopencookie(NULL, "w", functions);

	if (nowhere == NULL)
		return -ENOMEM;
	choose_locale();
	rl_readline_name = "tcpclient";
	rl_instream = stdin;
	rl_outstream = nowhere;
	rl_catch_signals = 0;
	rl_catch_sigwinch = 0;
	rl_change_environment = 0;
	rl_getc_function = give_key;
	rl_input_available_hook = is_key_left;
	rl_redisplay_function = note_redisplay;
	rl_prep_term_function = leave_modes_alone;
	rl_deprep_term_function = leave_modes_alone_too;
	rl_attempted_completion_function = complete_nothing;
	(void)rl_initialize(); /* always 0 */
	(void)rl_tty_set_echoing(1);
	(void)rl_variable_bind("bell-style", "none"); /* it would ring on standard error */
	(void)rl_bind_key('\t', complete_word);
	(void)rl_bind_key('L' & 0x1F, clear_screen);
	(void)rl_bind_key_in_map('E' & 0x1F, edit_line, emacs_ctlx_keymap);
	(void)rl_bind_key_in_map('J' & 0x1F, insert_line_end, emacs_meta_keymap);
	(void)rl_bind_key_in_map('M' & 0x1F, insert_line_end, emacs_meta_keymap);
	using_history();
	stifle_history(HISTORY_LINES_MAX);
	rl_callback_handler_install("> ", take_line);
	return 0;
}

/* Pasting */

static size_t count_lines(const char *text, size_t size)
{
	size_t lines = size > 0;

	for (size_t i = 0; i + 1 < size; i++)
		lines += text[i] == '\n';
	return lines;
}

/* Adds pasted text made clean, with the line ends of all systems made LF (terminals send CR). */
static void add_pasted(struct buffer *out, const char *text, size_t size)
{
	size_t start = 0;

	for (size_t i = 0; i <= size; i++) {
		if (i < size && text[i] != '\r' && text[i] != '\n')
			continue;
		buffer_add_clean(out, text + start, i - start);
		start = i + 1;
		if (i < size && (text[i] == '\n' || i + 1 == size || text[i + 1] != '\n'))
			buffer_add_text(out, "\n");
	}
}

/* Asks about the lines in 'block'; 'rest' stays in the line if they are sent. */
static void ask(void) REQUIRES(SCREEN_LOCK)
{
	size_t count = count_lines(screen.block.bytes, screen.block.size);

	buffer_clear(&screen.question);
	buffer_add_format(&screen.question, "Send as %zu line%s? [y/N], or as one with " LINE_END " between? [o] ", count,
		count == 1 ? "" : "s");
	buffer_add(&screen.question, "", 1);
}

static void insert(const char *text, size_t size) REQUIRES(SCREEN_LOCK)
{
	struct buffer copy = {0};

	buffer_add(&copy, text, size);
	buffer_add(&copy, "", 1);
	(void)rl_insert_text(copy.bytes);
	buffer_fini(&copy);
}

/*
 * Several lines: what is typed before the cursor begins the first one, what is after it follows the last, as if it had
 * been typed. After a last LF it stays in the line.
 */
static void paste(const char *text, size_t size) REQUIRES(SCREEN_LOCK)
{
	struct buffer pasted = {0};

	add_pasted(&pasted, text, size);
	/* One whole line is usually meant as text: Enter is still to come. */
	if (count_lines(pasted.bytes, pasted.size) == 1 && pasted.bytes[pasted.size - 1] == '\n')
		pasted.size--;
	if (pasted.size == 0 || memchr(pasted.bytes, '\n', pasted.size) == NULL) {
		insert(pasted.bytes, pasted.size);
	} else {
		const char *after = rl_line_buffer + rl_point;
		size_t after_size = (size_t)(rl_end - rl_point);

		buffer_clear(&screen.block);
		buffer_clear(&screen.rest);
		buffer_add(&screen.block, rl_line_buffer, (size_t)rl_point);
		buffer_add(&screen.block, pasted.bytes, pasted.size);
		buffer_add(pasted.bytes[pasted.size - 1] == '\n' ? &screen.rest : &screen.block, after, after_size);
		ask();
	}
	buffer_fini(&pasted);
}

static void set_line(const char *text, size_t size) REQUIRES(SCREEN_LOCK)
{
	rl_replace_line("", 1);
	rl_point = 0;
	insert(text, size);
}

/* Gives the lines in 'block', or one line made of them. */
static void give_block(bool as_one) REQUIRES(SCREEN_LOCK)
{
	if (screen.block.bytes[screen.block.size - 1] == '\n')
		screen.block.size--;
	buffer_clear(&screen.given);
	for (size_t i = 0; i < screen.block.size; i++) {
		if (as_one && screen.block.bytes[i] == '\n')
			buffer_add_text(&screen.given, LINE_END);
		else
			buffer_add(&screen.given, &screen.block.bytes[i], 1);
	}
	buffer_add(&screen.given, "", 1);
}

/* Any key but 'y' and 'o' leaves everything as it was. */
static enum screen_event answer(enum keys_kind kind, const char *key, size_t size) REQUIRES(SCREEN_LOCK)
{
	buffer_clear(&screen.question);
	if (kind != KEYS_KEY || size != 1 || strchr("yYoO", key[0]) == NULL || key[0] == '\0')
		return SCREEN_MORE;
	set_line(screen.rest.bytes, screen.rest.size);
	give_block(key[0] == 'o' || key[0] == 'O');
	return SCREEN_LINES;
}

/* Keys */

/* Whatever readline is in the middle of, it begins a new, empty line. */
static void interrupt(void) REQUIRES(SCREEN_LOCK)
{
	rl_free_line_state();
	rl_callback_sigcleanup();
	rl_callback_handler_remove();
	rl_callback_handler_install("> ", take_line);
	set_line("", 0);
}

/* Whether a key does something: an unknown F-key would otherwise leave its last bytes in the line. */
static bool is_bound(const char *key, size_t size)
{
	int type = ISKMAP;
	rl_command_func_t *function = rl_function_of_keyseq_len(key, size, NULL, &type);

	return function != NULL && type != ISKMAP;
}

/* Whether a key is the beginning of longer ones, as Ctrl-X is. */
static bool is_prefix(const char *key, size_t size)
{
	int type = ISFUNC;

	return rl_function_of_keyseq_len(key, size, NULL, &type) != NULL && type == ISKMAP;
}

/*
 * Ends a search in the history, with the line it has found, before a key that is more than a character: readline 8.2
 * reads through a NULL pointer when such a key ends the search in callback mode. Returns whether the key has done its
 * work.
 */
static bool end_search(const char *key, size_t size)
{
	if (!RL_ISSTATE(RL_STATE_ISEARCH) || (key[0] != '\033' && !is_prefix(key, size)))
		return false;
	rl_callback_sigcleanup();
	return size == 1 && key[0] == '\033';
}

/*
 * Before Enter on a line that was taken from the history: readline 8.2 would go back through the line's undo list,
 * which it may have freed with another line's. Without a list it leaves the line alone; the little memory of the list
 * is lost.
 */
static void forget_undo(const char *key)
{
	if (key[0] != '\r' && key[0] != '\n')
		return;
	if (RL_ISSTATE(RL_STATE_ISEARCH) && key[0] == '\r')
		rl_callback_sigcleanup();
	if (!RL_ISSTATE(RL_STATE_ISEARCH) && current_history() != NULL)
		rl_undo_list = NULL;
}

static enum screen_event edit(const char *key, size_t size) REQUIRES(SCREEN_LOCK)
{
	if (end_search(key, size))
		return SCREEN_MORE;
	if ((unsigned char)key[0] >= 0x80 && !text_is_clean(key, size)) {
		key = "\xEF\xBF\xBD"; /* readline's vi mode runs in circles in a line that is not UTF-8 */
		size = 3;
	}
	forget_undo(key);
	screen.key = key;
	screen.key_size = size;
	while (screen.key_size > 0 && !screen.line_came && !screen.end_came)
		rl_callback_read_char();
	if (screen.end_came)
		return SCREEN_LEAVE;
	if (!screen.line_came)
		return SCREEN_MORE;
	screen.line_came = false;
	if (memchr(screen.given.bytes, '\n', screen.given.size) == NULL)
		return SCREEN_LINES;
	/* A line end was typed into the line (Alt-Enter). */
	buffer_clear(&screen.block);
	buffer_clear(&screen.rest);
	add_pasted(&screen.block, screen.given.bytes, screen.given.size);
	ask();
	return SCREEN_MORE;
}

static bool is_key(const char *key, size_t size, const char *wanted)
{
	return size == strlen(wanted) && memcmp(key, wanted, size) == 0;
}

static enum screen_event focus(bool focused) REQUIRES(SCREEN_LOCK)
{
	bool came_back = focused && screen.unfocused;

	screen.unfocused = !focused;
	return came_back ? SCREEN_LOOKED_AT : SCREEN_MORE;
}

bool screen_is_focused(void)
{
	bool focused;

	screen_lock();
	focused = !screen.unfocused;
	screen_unlock();
	return focused;
}

void screen_set_completer(screen_completer *completer, void *context)
{
	screen_lock();
	screen.completer = completer;
	screen.completer_context = context;
	screen_unlock();
}

static enum screen_event work(enum keys_kind kind, const char *key, size_t size) REQUIRES(SCREEN_LOCK)
{
	if (kind == KEYS_PASTE_TOO_LONG)
		return SCREEN_PASTE_TOO_LONG;
	if (screen.question.size > 0 && !(is_key(key, size, FOCUS_IN) || is_key(key, size, FOCUS_OUT)))
		return answer(kind, key, size);
	switch (kind) {
	case KEYS_INTERRUPT:
		interrupt();
		return SCREEN_MORE;
	case KEYS_PASTE:
		paste(key, size);
		return SCREEN_MORE;
	case KEYS_SEQUENCE:
		if (is_key(key, size, FOCUS_IN) || is_key(key, size, FOCUS_OUT))
			return focus(key[2] == 'I');
		return is_bound(key, size) ? edit(key, size) : SCREEN_MORE;
	default:
		return edit(key, size);
	}
}

void screen_feed(const char *bytes, size_t size)
{
	screen_lock();
	keys_feed(&screen.keys, bytes, size);
	screen_unlock();
}

enum screen_event screen_next(const char **text, size_t *size)
{
	enum screen_event event = SCREEN_MORE;
	enum keys_kind kind;
	const char *key = NULL;
	size_t key_size = 0;

	screen_lock();
	while (event == SCREEN_MORE && (kind = keys_next(&screen.keys, &key, &key_size)) != KEYS_MORE)
		event = work(kind, key, key_size);
	redraw();
	if (event == SCREEN_LINES) {
		*text = screen.given.bytes;
		*size = screen.given.size - 1;
	}
	screen_unlock();
	return event;
}

void screen_put_back(const char *text, size_t size)
{
	screen_lock();
	rl_point = 0;
	insert(text, size);
	rl_point = rl_end;
	redraw();
	screen_unlock();
}

int screen_waiting(void)
{
	int wait_ms;

	screen_lock();
	wait_ms = keys_waiting(&screen.keys);
	screen_unlock();
	return wait_ms;
}

void screen_give_up(void)
{
	screen_lock();
	keys_give_up(&screen.keys);
	screen_unlock();
}

int screen_open(const char *prompt)
{
	int error = read_modes();

	if (error != 0)
		return error;
	screen_lock();
	error = start_readline();
	if (error == 0) {
		keys_init(&screen.keys);
		set_text(&screen.prompt, prompt);
		catch_fatal_signals();
		take_terminal();
		redraw();
	}
	screen_unlock();
	return error;
}

void screen_close(void)
{
	screen_lock();
	erase();
	show();
	give_terminal();
	rl_callback_handler_remove();
	clear_history();
	keys_fini(&screen.keys);
	buffer_fini(&screen.out);
	buffer_fini(&screen.block);
	buffer_fini(&screen.rest);
	buffer_fini(&screen.given);
	buffer_fini(&screen.tab_line);
	free(screen.history_path);
	screen.history_path = NULL;
	screen_unlock();
}
