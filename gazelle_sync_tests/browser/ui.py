"""Dagster's UI through a browser: what a person clicks, types and reads. Everything is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from selenium.common.exceptions import ElementNotInteractableException, StaleElementReferenceException
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

T = TypeVar("T")
PATIENCE = 180


class Ui:
    def __init__(self, driver: Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self, path: str) -> None:
        self.driver.get(self.url + path)

    @property
    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text

    def shows(self, *texts: str) -> None:
        self.wait(lambda: all(text in self.text for text in texts), f"{texts} on the page")

    def click(self, label: str, within: str = "") -> None:
        """A button or a link that begins with the label, as soon as there is one that can be clicked."""
        path = f"{within}//*[self::button or self::a][starts-with(normalize-space(.), '{label}')]"

        def clicked() -> bool:
            for element in self.driver.find_elements(By.XPATH, path):
                if element.is_displayed() and element.is_enabled():
                    element.click()
                    return True
            return False

        self.wait(clicked, f"a button {label}")

    def type(self, text: str, into: str) -> None:
        """In place of what is in the field that a CSS selector names."""

        def typed() -> bool:
            for field in self.driver.find_elements(By.CSS_SELECTOR, into):
                field.send_keys(Keys.CONTROL, "a")
                field.send_keys(text, Keys.ENTER)
                return True
            return False

        self.wait(typed, f"the field {into}")

    def canvases(self) -> list[WebElement]:
        return self.driver.find_elements(By.TAG_NAME, "canvas")

    def picture(self, file: Path) -> None:
        """Once what moves has come to rest."""
        before = b""
        for _ in range(20):
            after = self.driver.get_screenshot_as_png()
            if after == before:
                break
            before = after
            time.sleep(0.3)
        file.write_bytes(before)

    def wait(self, look: Callable[[], T], what: str) -> T:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if found := look():
                    return found
            except (StaleElementReferenceException, ElementNotInteractableException):
                pass  # the page is being drawn
            assert time.monotonic() < deadline, f"Waited {PATIENCE} s for {what}. There is:\n{self.text}"
            time.sleep(0.1)
