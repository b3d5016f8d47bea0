"""Errors that end a task without a result. Airflow retries after all except an AirflowFailException."""

from airflow.sdk.exceptions import AirflowException, AirflowFailException


class RunFailed(AirflowException):
    """The run failed for a reason that may pass, or its object was deleted; the message has the object's own reason."""


class WouldFailAgain(AirflowFailException):
    """The run failed for a reason that recurs with the same spec; the message has that reason."""


class ApiServerUnreachable(AirflowException):
    """It did not answer for as long as we wait, or answered that it is unavailable."""


class ApiServerRefused(AirflowException):
    """It refused the request: permissions, a missing namespace, a missing kind."""


class SpecRefused(AirflowFailException):
    """The arguments make no valid spec; another try would not help."""


class NotOurs(AirflowFailException):
    """The name is taken by an object of another task instance, or of none in Airflow."""


class ChangedSince(Exception):
    """The object has changed since it was read, or is gone; a writer must read it again. Internal."""
