"""The one exception whose message is written for the person at the keyboard."""


class DeepcamsError(Exception):
    """Something the user can mend: says what is wrong, where, and what to do.

    Scripts and the command line print the message alone, without a traceback, and exit with status 1.
    """
