// Signing out needs no second question when the app has already asked: press the button for the user.
document.querySelector('[data-press]')?.click()
